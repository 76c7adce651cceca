"""A program that uses Restante only through the client generated from /openapi.json."""

import sys
from io import BytesIO

from restante.api.batches import pull_batch, push_batch
from restante.api.leases import settle, settle_many
from restante.api.messages import count, pull, pull_at_link_end, push, push_at_link_end
from restante.client import Client
from restante.models import Item, Problem, PushBatch, Settlements
from restante.types import File

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
orders = {"namespace": "acme", "name": "orders", "client": client}


def lease_of(answer):
    return answer.headers["location"].rsplit("/", 1)[1]


# Push a message, repeat it with the same key, pull it once, and settle it twice.
every_byte = bytes(range(256))
for replayed in (None, "true"):
    sent = push.sync_detailed(**orders, body=File(BytesIO(every_byte)), idempotency_key="key-1", message_group="g")
    assert sent.status_code == 201, sent
    assert sent.headers.get("idempotency-replayed") == replayed, sent
received = pull.sync_detailed(**orders, wait=5, lease=60)
assert received.parsed.payload.read() == every_byte, received
assert received.headers["message-id"] == sent.headers["message-id"], received
assert received.headers["message-group"] == "g", received
for _ in range(2):
    assert settle.sync_detailed(lease_of(received), client=client).status_code == 204
assert pull.sync_detailed(**orders, wait=0).status_code == 204

# Push a batch with one invalid item; pull the others, and settle them in one request.
items = [Item(content="seven bolts"), Item(content64="/wAB"), Item(content="none", group="two words")]
results = push_batch.sync(**orders, body=PushBatch(messages=items)).results
assert [result.status for result in results] == [201, 201, 400], results
assert results[2].problem.type_.endswith("/item-malformed"), results
assert count.sync_detailed(**orders).headers["message-ready"] == "2"
messages = pull_batch.sync(**orders, max_=10, wait=5).messages
assert [message.content or message.content64 for message in messages] == ["seven bolts", "/wAB"], messages
done = settle_many.sync(client=client, body=Settlements(ack=[message.lease for message in messages]))
assert [result.status for result in done.ack] == [204, 204], done

# The generated client returns a problem as its model Problem.
nothing = pull.sync("acme", "nothing", client=client)
assert isinstance(nothing, Problem) and nothing.status == 404, nothing

# Each end of a link receives the messages that the other end sends.
ends = [{"namespace": "acme", "link": "bridge", "end": end, "client": client} for end in ("factory", "office")]
for here, there in (ends, ends[::-1]):
    content = here["end"].encode()
    assert push_at_link_end.sync_detailed(**here, body=File(BytesIO(content))).status_code == 201
    received = pull_at_link_end.sync_detailed(**there, wait=5)
    assert received.content == content, received
    assert settle.sync_detailed(lease_of(received), client=client).status_code == 204

print("the generated client works")
