"""A bucket on an S3 server of this machine, for the tests of object stores."""

import logging

import pytest
from known_secret import SECRET
from zarr.storage import MemoryStore, ObjectStore

from montezarr.store._where import location_of

boto3 = pytest.importorskip("boto3")
obstore_stores = pytest.importorskip("obstore.store")
moto_server = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")


@pytest.fixture(scope="module")
def endpoint():
    server = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(endpoint, request, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return Bucket(endpoint, f"bucket-{abs(hash(request.node.nodeid)):x}")


class Bucket:
    """A bucket on the server, and the places in it."""

    def __init__(self, endpoint, name):
        self.endpoint, self.name = endpoint, name
        self.client = boto3.client("s3", endpoint_url=endpoint)
        self.client.create_bucket(Bucket=name)

    @property
    def options(self):
        return {"key": SECRET, "secret": SECRET, "endpoint_url": self.endpoint}

    def url(self, prefix="runs/a.zarr"):
        return f"s3://{self.name}/{prefix}"

    def obstore(self, prefix="runs/a.zarr", **options):
        store = obstore_stores.S3Store(
            self.name, prefix=prefix, endpoint=self.endpoint, region="us-east-1",
            access_key_id=SECRET, secret_access_key=SECRET, client_options={"allow_http": True},
            **options,
        )  # fmt: skip
        return ObjectStore(store)

    def where(self, kind):
        """Return the first argument of write and open, and the others."""
        if kind == "s3fs":
            return self.url(), {"storage_options": self.options}
        return (self.obstore() if kind == "obstore" else MemoryStore()), {}

    def put(self, key, data):
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def content(self):
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        keys = [entry["Key"] for entry in found]
        return {k: self.client.get_object(Bucket=self.name, Key=k)["Body"].read() for k in keys}


def content_of(path, options=None):
    place = location_of(path, **(options or {}))
    return {key: place.get(key) for key in place.objects()}
