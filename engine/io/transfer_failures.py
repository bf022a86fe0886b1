"""What can go wrong between here and a server, in words, and whether trying again can help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_MEANINGS = {
    401: "it asks for a password",
    403: "it refuses access",
    407: "the proxy asks for a password",
    429: "too many requests",
    500: "an error of the server",
    502: "an error of the server",
    503: "it is overloaded or under maintenance",
    504: "an error of the server",
}


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed.

    Attributes
    ----------
    problem : what happened, a clause without a full stop.
    again : whether the same request may succeed later.
    wait_s : how long the server asked to be left alone, seconds.
    unreachable : there was no connection at all.
    absent : the server doesn't have the file.
    advice : what the user can do, where that isn't to wait.
    """

    problem: str
    again: bool = False
    wait_s: float | None = None
    unreachable: bool = False
    absent: bool = False
    advice: str = ""


class Trouble(Exception):  # noqa: N818 - handled, not shown as such
    """Raised by an attempt that failed; only its ``failure`` is kept.

    An exception that is kept keeps its frames, and those would keep connections open.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.problem)
        self.failure = failure


def trouble(problem: str, **more: Any) -> Trouble:
    """The exception for a failure with these attributes."""
    return Trouble(Failure(problem, **more))


def refusal(response: requests.Response) -> Trouble:
    """Why an answer with such a status is no file."""
    code = response.status_code
    if code in (404, 410):
        return trouble("it has no such entry", absent=True)
    meaning = _MEANINGS.get(code, response.reason or "unexpected")
    wait = None
    if code in (429, 503) and "Retry-After" in response.headers:
        try:
            wait = Retry(0).parse_retry_after(response.headers["Retry-After"])
        except InvalidHeader:
            wait = None
    advice = "Its owners may have blocked this address: wait, and lower --rate." if code == 403 else ""
    return trouble(f"{meaning} (HTTP {code})", again=code in _AGAIN, wait_s=wait, advice=advice)


@contextmanager
def connection_named() -> Iterator[None]:
    """Turn the library's exceptions into troubles."""
    try:
        yield
    except requests.exceptions.SSLError as exc:
        raise trouble(
            f"its certificate can't be verified ({_innermost(exc)})",
            advice="Behind a proxy that decrypts, name its certificate in REQUESTS_CA_BUNDLE.",
        ) from exc
    except requests.exceptions.ProxyError as exc:
        raise trouble(
            f"the proxy can't be used ({_innermost(exc)})",
            unreachable=True,
            advice="Check HTTPS_PROXY and HTTP_PROXY.",
        ) from exc
    except requests.exceptions.ConnectTimeout as exc:
        raise trouble("it didn't answer in time", unreachable=True) from exc
    except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as exc:
        raise trouble("the download came to a standstill", again=True) from exc
    except requests.exceptions.ConnectionError as exc:
        cause = exc.args[0] if exc.args else None
        if isinstance(cause, urllib3.exceptions.MaxRetryError):
            raise trouble(f"it can't be reached ({_innermost(exc)})", unreachable=True) from exc
        raise trouble("the connection was cut", again=True) from exc
    except (HTTPError, ConnectionResetError) as exc:
        raise trouble("the connection was cut", again=True) from exc
    except (requests.exceptions.RequestException, ValueError) as exc:
        raise trouble(f"its answer makes no sense ({_innermost(exc)})") from exc


def _innermost(exc: BaseException) -> str:
    """The last cause's words: the library's own name half a dozen objects."""
    reason: Any = exc
    seen: set[int] = set()
    while id(reason) not in seen:
        seen.add(id(reason))
        inner = getattr(reason, "reason", None) or reason.__cause__ or reason.__context__
        if not isinstance(inner, BaseException):
            break
        reason = inner
    words = getattr(reason, "strerror", None) or getattr(reason, "verify_message", None) or str(reason)
    return str(words)[:200]
