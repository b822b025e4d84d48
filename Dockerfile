# The benchmark in a container: docker build -t mlpbench . && docker run --rm -v "$PWD/results:/home/mlpbench/results" mlpbench run
# For a card: --build-arg EXTRAS=cuda12,report, and docker run --gpus all.
FROM python:3.13-slim
ARG EXTRAS=report
RUN useradd --create-home mlpbench
COPY . /src
RUN pip install --no-cache-dir "/src[$EXTRAS]"
USER mlpbench
WORKDIR /home/mlpbench
ENTRYPOINT ["mlpbench"]
CMD ["run"]
