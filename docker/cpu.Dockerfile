# surgeon for the CPU: recipes, conversion to UFF and ONNX, verification.
FROM python:3.12-slim-bookworm AS wheel
WORKDIR /source
COPY setup.cfg setup.py pyproject.toml README.md LICENSE ./
COPY surgeon surgeon
COPY plugins plugins
COPY recipes recipes
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=wheel /wheel /wheel
RUN python -m pip install --no-cache-dir "$(echo /wheel/*.whl)[tensorflow,pictures,onnx]" \
    && rm -r /wheel \
    && useradd --create-home surgeon
USER surgeon
WORKDIR /work
RUN surgeon --version && surgeon list recipes
ENTRYPOINT ["surgeon"]
CMD ["--help"]
