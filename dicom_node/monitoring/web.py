"""The HTTP endpoint: whether the node is alive and can work, and what it has done.

Whoever reaches its address may read that; it changes nothing and holds nothing of a patient. The
same port serves the pages. Connections that send no request, send it slowly or read slowly are
closed and keep nobody else out.
"""

import threading

import uvicorn
from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from dicom_node.exchange.impatient_http import IMPATIENT_LOOP, ImpatientHttp
from dicom_node.logs import log
from dicom_node.monitoring.metrics import StatusCollector
from dicom_node.monitoring.shared_status import SharedStatus
from dicom_node.records.heartbeat import keep_beating
from dicom_node.settings.node import NodeSettings
from dicom_node.tls import web_context

__all__ = ["add_machine_addresses", "run_web"]

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


def add_machine_addresses(app: FastAPI, status: SharedStatus) -> None:
    """Let an application answer for programs, however often it is asked."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatusCollector(status.now))

    @app.get("/healthz")
    async def healthz() -> Response:
        """Say that the process answers."""
        return _text("ok\n")

    @app.get("/readyz")
    def readyz() -> Response:
        """Say whether listener, worker, database and disk can work; if not, 503 and what cannot."""
        problems = status.now().problems
        return _text("\n".join(problems or ["ready"]) + "\n", 503 if problems else 200)

    @app.get("/metrics")
    def metrics() -> Response:
        """Give all metrics for Prometheus."""
        content = generate_latest(registry)
        return Response(content, media_type=CONTENT_TYPE_PLAIN_0_0_4, headers=SECURITY_HEADERS)


def run_web(app: FastAPI, settings: NodeSettings, stop: threading.Event) -> None:
    """Serve an application until ``stop`` is set.

    Raises
    ------
    OSError
        The address cannot be used.
    ValueError
        The settings have no section ``web``.
    SettingsInvalid
        Its certificate or key cannot be used.
    """
    if settings.web is None:
        raise ValueError("no section [web] in the settings")
    host, port = settings.web.host, settings.web.port
    tls = settings.web.tls
    secured = None if tls is None else web_context(tls)
    for warning in settings.web.warnings:
        log().warning("web is open", reason=warning)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            http=ImpatientHttp,
            loop=IMPATIENT_LOOP,
            ws="none",
            timeout_keep_alive=5,
            # whom to believe about addresses is for the settings to say
            proxy_headers=False,
            ssl_context_factory=None if secured is None else lambda _config, _default: secured,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    keep_beating(settings.counters_dir, "web", stop)
    log().info("web started", host=host, port=port)
    while thread.is_alive() and not stop.wait(0.25):
        pass
    stopped = stop.is_set()
    server.should_exit = True
    thread.join(10)
    if not stopped:
        raise OSError(f"the web address {host}:{port} cannot be used")


def _text(content: str, status: int = 200) -> Response:
    return Response(content, status, media_type="text/plain", headers=SECURITY_HEADERS)
