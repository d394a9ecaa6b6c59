"""What a registry answers when it does not do what was asked: a code, words, and what they are about.

Source: OCI distribution-spec 1.1, spec.md, "Error Codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATUS = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DENIED": 403,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 404,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "PAGINATION_NUMBER_INVALID": 400,
    "SIZE_INVALID": 400,
    "TAG_INVALID": 400,
    "TOOMANYREQUESTS": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED": 405,
}


class Refusal(Exception):
    """A request that is not done; `code` is the specification's word for why, `status` is HTTP's.

    Where `detail` is a list, the client is sent one error for each.

    >>> Refusal("BLOB_UNKNOWN", "there is no such blob").status
    404
    """

    def __init__(
        self,
        code: str,
        message: str,
        detail: Any = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.detail = code, message, detail
        self.status = status or STATUS[code]
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the JSON that every client of a registry understands."""
        details = self.detail if isinstance(self.detail, list) else [self.detail]
        return {"errors": [{"code": self.code, "message": self.message, "detail": one} for one in details]}
