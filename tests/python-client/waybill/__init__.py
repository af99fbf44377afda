"""A small client of Waybill, written from docs/protocol.md and docs/http.md alone: a user's log over QUIC, WebSocket and
server-sent events.

It is made to be read beside those pages, and by the tests. What it leaves out: a store on disk, and bounds on what it holds for
a reader that does not keep up.
"""
