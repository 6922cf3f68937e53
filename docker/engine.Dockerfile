# surgeon with TensorRT 8.5.3.1: builds and runs engines. It needs the NVIDIA container runtime.
# Python 3.10 is the last that this TensorRT has wheels for.
FROM python:3.10-slim-bookworm AS wheel
WORKDIR /source
COPY setup.cfg setup.py pyproject.toml README.md LICENSE ./
COPY surgeon surgeon
COPY plugins plugins
COPY recipes recipes
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.10-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=wheel /wheel /wheel
RUN python -m pip install --no-cache-dir "$(echo /wheel/*.whl)[tensorrt,pictures]" \
    && rm -r /wheel \
    && useradd --create-home surgeon
USER surgeon
WORKDIR /work
RUN surgeon --version && surgeon list recipes
ENTRYPOINT ["surgeon"]
CMD ["--help"]
