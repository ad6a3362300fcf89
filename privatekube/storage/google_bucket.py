"""Buckets of Google Cloud Storage, through Google's own client, which speaks HTTP and needs no gRPC.

Credentials are Google's application default credentials. `STORAGE_EMULATOR_HOST` is the address of a server to use in
place of Google's, without credentials; `GOOGLE_CLOUD_QUOTA_PROJECT` is the project that pays where the requester does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

from google.api_core import exceptions
from google.auth import credentials
from google.cloud import storage
from google.cloud.storage import retry as retries

EMULATOR = "STORAGE_EMULATOR_HOST"
PAYER = "GOOGLE_CLOUD_QUOTA_PROJECT"
PART_BYTES = 8 << 20
"""How much of an upload is in memory, and is sent again after an interruption: the rest of the file is not."""
PART_RETRY_SECONDS = 10.0
_TIMEOUT = (5, 30)
"""Seconds to connect, and between two parts of an answer."""
_NO_METADATA = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"
"""Keeps the client from asking, in a thread of its own, for what a bucket is: not every account may know."""
_TYPE = "application/octet-stream"
_ABSENT = 0
"""The generation of an object that is not there."""


class GoogleBucket:
    """A bucket on Google Cloud Storage; it raises the errors of Google's client.

    Args:
        name: of the bucket.
    """

    def __init__(self, name: str) -> None:
        self._bucket = _client().bucket(name, user_project=os.environ.get(PAYER) or None)

    def read(self, key: str) -> bytes:
        """Return the content of a file."""
        return bytes(self._blob(key).download_as_bytes(timeout=_TIMEOUT, retry=None))

    def fetch(self, key: str, file: BinaryIO) -> None:
        """Write the content of a file to a local one, a part at a time."""
        self._blob(key).download_to_file(file, timeout=_TIMEOUT, retry=None)

    def create(self, key: str, content: bytes | Path) -> None:
        """Write a file that is not there yet; the store decides between two writers."""
        self._upload(key, content, if_generation_match=_ABSENT)

    def replace(self, key: str, content: bytes) -> None:
        """Write a file, in place of one that is there."""
        self._upload(key, content)

    def _upload(self, key: str, content: bytes | Path, **condition: int) -> None:
        options: dict[str, Any] = {**condition, "timeout": _TIMEOUT, "retry": None}
        blob = self._blob(key)
        if isinstance(content, bytes):
            blob.upload_from_string(content, content_type=_TYPE, **options)
            return
        if content.stat().st_size > PART_BYTES:
            blob.chunk_size = PART_BYTES
            options["retry"] = retries.DEFAULT_RETRY.with_timeout(PART_RETRY_SECONDS)
        blob.upload_from_filename(str(content), content_type=_TYPE, **options)

    def size_of(self, key: str) -> int | None:
        """Return the size of a file in bytes; None if it is not there."""
        blob = self._bucket.get_blob(key, timeout=_TIMEOUT, retry=None)
        return None if blob is None else int(blob.size)

    def list_folder(self, prefix: str) -> tuple[list[str], bool]:
        """Return the keys directly below a prefix, which ends in a slash, and whether anything is below it."""
        listed = self._bucket.list_blobs(prefix=prefix, delimiter="/", timeout=_TIMEOUT, retry=None)
        keys = [blob.name for blob in listed]
        return keys, bool(keys or listed.prefixes)

    def remove(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        try:
            self._blob(key).delete(timeout=_TIMEOUT, retry=None)
        except exceptions.NotFound:
            return

    def _blob(self, key: str) -> storage.Blob:
        return self._bucket.blob(key)


def _client() -> storage.Client:
    os.environ.setdefault(_NO_METADATA, "true")
    emulator = os.environ.get(EMULATOR)
    if not emulator:
        return storage.Client(project=None)
    address = emulator if "://" in emulator else f"http://{emulator}"
    anonymous = credentials.AnonymousCredentials()
    return storage.Client(project="", credentials=anonymous, client_options={"api_endpoint": address.rstrip("/")})
