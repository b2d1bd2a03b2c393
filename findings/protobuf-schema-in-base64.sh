#!/usr/bin/env bash
# confluent-kafka for Python: its Protobuf serializer registers no .proto text, but the file's descriptor in base64.
#
# For whoever reads schemas of Protobuf from a registry. The field `schema` of what is registered is base64 of a serialized
# FileDescriptorProto. Confluent's own registry turns it into text, so its users never see it; Apicurio Registry 2.6.13 keeps it
# as it came and hands it out so (and calls it AVRO where the subject's first version was Avro). A reader that gives that field
# to protoc fails on "Cg1v…". It has to try base64 first: a .proto file is never valid base64.
# Seen on 2026-12-01 with the versions below, Python 3.11. The registry here is a few lines that note what they are sent.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check "confluent-kafka[protobuf,schemaregistry]==2.16.1" grpcio-tools==1.85.1 protobuf==7.36.2
cat > price.proto <<'PROTO'
syntax = "proto3";
message Price { double value = 1; }
PROTO
python/bin/python -m grpc_tools.protoc -I. --python_out=. price.proto
python/bin/python - <<'PYTHON'
import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2

import price_pb2

sent = []


class Registry(BaseHTTPRequestHandler):
    def do_POST(self):
        sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(200, {"id": 1})

    def do_GET(self):
        self.answer(404, {"error_code": 40401, "message": "not here"})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Registry)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = SchemaRegistryClient({"url": f"http://127.0.0.1:{server.server_port}"})
write = ProtobufSerializer(price_pb2.Price, client, {"use.deprecated.format": False})
write(price_pb2.Price(value=1.5), SerializationContext("prices", MessageField.VALUE))
text = next(one["schema"] for one in sent if "schema" in one)
print(f"confluent-kafka {version('confluent-kafka')}, protobuf {version('protobuf')}")
print(f"registered: {text}")
try:
    file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
except ValueError:
    sys.exit("it is text")
print(f"which is base64 of the descriptor of {file.name} with message {file.message_type[0].name}")
PYTHON
