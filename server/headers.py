"""HTTP headers of every response, and the media type of a request."""

from starlette.datastructures import Headers

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",  # Plotly and the API page draw small pictures from data: addresses
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)

FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Of an HTML file that is downloaded: it brings its own style, and nothing else."""

HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # a share link is a secret: other sites never see it
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def media_type(headers: Headers) -> str:
    """What a request's body is, without parameters: ``application/json``."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
