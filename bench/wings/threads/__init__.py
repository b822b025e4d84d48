"""What more threads gain."""
