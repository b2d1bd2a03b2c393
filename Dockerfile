# syntax=docker/dockerfile:1
# The worker's image: the core and LightGBM, from the same locked versions and hashes as everywhere else.

# The Python of the image, 3.11 to 3.14: docker build --build-arg PYTHON_VERSION=3.13 .
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ARG UV_VERSION=0.13.9
RUN python -m pip install --no-cache-dir uv==${UV_VERSION} && python -m venv /opt/alphawire
# The worker may not write beside its libraries: without their bytecode each start would compile them anew, for seconds.
ENV VIRTUAL_ENV=/opt/alphawire UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
WORKDIR /src
# Libraries first: they change less often than the code, so their layer is kept. The lock constrains, pyproject.toml chooses.
COPY pyproject.toml requirements.lock ./
RUN uv pip install --require-hashes --only-binary :all: -c requirements.lock -r pyproject.toml --extra lightgbm --group build
COPY README.md LICENSE NOTICE ./
COPY schemas schemas
COPY plugins plugins
COPY streams streams
COPY backtest backtest
COPY alphawire alphawire
RUN uv pip install --no-deps --no-build-isolation .

FROM python:${PYTHON_VERSION}-slim-bookworm
# LightGBM is linked against the GNU OpenMP library.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/alphawire alphawire
COPY --from=build /opt/alphawire /opt/alphawire
ENV PATH=/opt/alphawire/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/lib/alphawire/numba \
    ALPHAWIRE_CONFIG=/etc/alphawire/alphawire.yaml
USER alphawire
WORKDIR /var/lib/alphawire
EXPOSE 6066
ENTRYPOINT ["alphawire"]
CMD ["--help"]
