# The one image of the suite: its argument chooses the process, such as `services.billing serve`.
#
#   docker build -t filmgate/suite:0.1.0 .
#
# Debian 12 with its own python3, on which `make test` runs too. For a release give BASE by its digest.
ARG BASE=docker.io/library/debian:12-slim

FROM ${BASE} AS python
# hadolint ignore=DL3008 # a stable release of Debian gets security fixes only, and those we want
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 tzdata \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /filmgate
ENV UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1 UV_LINK_MODE=copy
COPY pyproject.toml requirements.lock ./
# Every package is one of the lock's, by its hash; uv itself too. /opt/filmgate goes into the image, /opt/protos does not.
# hadolint ignore=SC2016
RUN python3 -m venv /opt/uv \
    && sed -n '/^uv==/,/[^\\]$/p' requirements.lock > /opt/uv/uv.lock \
    && /opt/uv/bin/pip install -q --no-cache-dir --disable-pip-version-check --require-hashes -r /opt/uv/uv.lock
# xds-protos brings old copies of opentelemetry-proto's modules, so that one comes last, as in the Makefile.
# hadolint ignore=SC2016
RUN python3 -m venv --without-pip /opt/filmgate \
    && /opt/uv/bin/uv pip install -q --python /opt/filmgate/bin/python --compile-bytecode --require-hashes \
       --constraint requirements.lock -r pyproject.toml \
    && sed -n '/^opentelemetry-proto==/,/[^\\]$/p' requirements.lock > /opt/uv/last.lock \
    && /opt/uv/bin/uv pip install -q --python /opt/filmgate/bin/python --compile-bytecode --require-hashes \
       --reinstall --no-deps -r /opt/uv/last.lock
RUN python3 -m venv --without-pip /opt/protos \
    && /opt/uv/bin/uv pip install -q --python /opt/protos/bin/python --require-hashes \
       --constraint requirements.lock -r pyproject.toml --extra protos
COPY deploy/__init__.py deploy/protos.py deploy/
COPY deploy/envoy deploy/envoy
COPY deploy/openapi deploy/openapi
COPY protos protos
COPY services services
COPY profiles profiles
# The generated code is made here, since it is not in git. What only makes it stays behind.
RUN PYTHONPATH=.:gen /opt/protos/bin/python -m deploy.protos \
    && rm -r deploy/protos.py deploy/openapi gen/protovendor \
    && python3 -m compileall -q deploy services gen

FROM python
# A number, so that a kubelet can see that it is not root's; nothing in the image is this user's to write.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin filmgate
COPY --from=build /opt/filmgate /opt/filmgate
COPY --from=build /filmgate/deploy /filmgate/deploy
COPY --from=build /filmgate/gen /filmgate/gen
COPY --from=build /filmgate/profiles /filmgate/profiles
COPY --from=build /filmgate/services /filmgate/services
WORKDIR /filmgate
ENV PATH=/opt/filmgate/bin:/usr/bin:/bin PYTHONPATH=/filmgate:/filmgate/gen PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["python", "-m"]
CMD ["services.generation", "serve"]
