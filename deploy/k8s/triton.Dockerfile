# Triton with the suite's models, as two images: `triton` makes previews on a CPU, `triton-wan` adds torch for GPUs.
#
#   docker build -t filmgate/triton:0.1.0 -f deploy/k8s/triton.Dockerfile --target triton .
#   docker build -t filmgate/triton-wan:0.1.0 -f deploy/k8s/triton.Dockerfile --target triton-wan .
#
# The weights are in neither: a volume holds them.
#
# 26.04 is Triton 2.68 on Ubuntu 24.04: the first images with a Python that our code runs on (3.12) are of 24.11, and
# those before 25.07 have known holes in the Python backend. `make test` runs Triton 2.51 of the wheel. For a release
# give BASE by its digest.
ARG BASE=nvcr.io/nvidia/tritonserver:26.04-py3

FROM docker.io/library/debian:12-slim AS packages
# hadolint ignore=DL3008 # a stable release of Debian gets security fixes only, and those we want
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /filmgate
ENV UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1 UV_LINK_MODE=copy
COPY requirements.lock ./
# hadolint ignore=SC2016
RUN python3 -m venv /opt/uv \
    && sed -n '/^uv==/,/[^\\]$/p' requirements.lock > /opt/uv/uv.lock \
    && /opt/uv/bin/pip install -q --no-cache-dir --disable-pip-version-check --require-hashes -r /opt/uv/uv.lock
# What the models import, by the hashes of their lock, for the Python of BASE. The server is BASE's own, not the wheel's.
ARG PYTHON=3.12
COPY services/generation/triton/requirements.lock models.lock
RUN sed -i '/^nvidia-pytriton==/,/[^\\]$/d' models.lock \
    && /opt/uv/bin/uv pip install -q --target /opt/models --python-version "${PYTHON}" --python-platform linux \
       --only-binary :all: --no-deps --require-hashes -r models.lock


FROM packages AS packages-wan
COPY deploy/k8s/wan.lock wan.lock
RUN /opt/uv/bin/uv pip install -q --target /opt/wan --python-version "${PYTHON}" --python-platform linux \
    --only-binary :all: --no-deps --require-hashes -r wan.lock

# hadolint ignore=DL3006 # BASE has its version above
FROM ${BASE} AS triton
COPY --from=packages /opt/models /opt/tritonserver/backends/python/site-packages
COPY services/__init__.py /filmgate/services/
COPY services/generation/__init__.py /filmgate/services/generation/
COPY services/generation/film /filmgate/services/generation/film
COPY services/generation/triton /filmgate/services/generation/triton
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["/opt/tritonserver/bin/tritonserver"]

FROM triton AS triton-wan
COPY --from=packages-wan /opt/wan /opt/tritonserver/backends/python/site-packages
USER 10001:10001
