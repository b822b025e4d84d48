from mlpbench.bench.groups import grouped


def test_values_of_a_key_stay_in_order_and_so_do_the_keys():
    found = grouped([("b", 2), ("a", 1), ("b", 1)])
    assert found == {"b": [2, 1], "a": [1]}
    assert list(found) == ["b", "a"]
