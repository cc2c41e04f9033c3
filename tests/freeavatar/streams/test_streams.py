"""What all streams share: their URLs, and that no receiver can harm them."""

import logging
import socket

import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.export import Moment
from freeavatar.streams import STREAMS, open_stream

UDP = ("vmc", "livelink", "ifacialmocap", "vrchat")


@pytest.mark.parametrize(
    ("scheme", "port"), [("vmc", 39539), ("livelink", 11111), ("ifacialmocap", 49983), ("vts", 8001), ("vrchat", 9000)]
)
def test_a_scheme_has_the_port_that_its_receivers_listen_on(scheme, port):
    assert port == STREAMS[scheme].PORT
    if scheme != "vts":
        with open_stream(f"{scheme}://127.0.0.1") as stream:
            assert (stream.address.host, stream.address.port) == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:39539", "cannot send to '127.0.0.1:39539': expected vmc://, livelink://"),
        ("osc://127.0.0.1", "cannot send to 'osc://127.0.0.1'"),
        ("vmc://", "is no address: give a host and a port from 1 to 65535, as in vmc://127.0.0.1:39539"),
        ("vmc://127.0.0.1:0", "is no address"),
        ("vmc://127.0.0.1:70000", "is no address"),
        ("livelink://127.0.0.1:abc", "as in livelink://127.0.0.1:11111"),
        ("vmc://127.0.0.1/path", "is no address"),
        ("vmc://[::1", "is no address"),
        ("vmc://127.0.0.1?names=unity", "has names=unity: use arkit, Arkit, vrm0, vrm1"),
        ("vmc://127.0.0.1?name=vrm1", "has the option name, expected names"),
        ("vts://127.0.0.1?token=1", "has options, which its scheme does not take"),
        ("vmc://" + "a" * 70, "cannot find the host"),
    ],
)
def test_a_url_that_cannot_be_used_is_explained(url, message):
    with pytest.raises(InputError) as raised:
        open_stream(url)
    assert message in str(raised.value)


def test_localhost_is_where_receivers_listen(receiver, sample):
    with open_stream(f"livelink://localhost:{receiver.getsockname()[1]}") as stream:
        stream.send(*sample())
        assert receiver.recv(2048)


@pytest.mark.parametrize("scheme", UDP)
def test_nobody_needs_to_listen(scheme, sample):
    with open_stream(f"{scheme}://127.0.0.1:9") as stream:
        for k in range(3):
            stream.send(*sample(time=k / 30))


@pytest.mark.parametrize("scheme", UDP)
def test_a_receiver_that_starts_again_gets_what_comes_then(scheme, sample, receiver):
    port = receiver.getsockname()[1]
    with open_stream(f"{scheme}://127.0.0.1:{port}") as stream:
        stream.send(*sample())
        assert receiver.recv(2048)
        receiver.close()
        for k in range(3):
            stream.send(*sample(time=k / 30))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(("127.0.0.1", port))
            again.settimeout(2)
            stream.send(*sample(time=1.0))
            assert again.recv(2048)


def test_a_network_that_fails_is_logged_once(sample, caplog):
    caplog.set_level(logging.WARNING)
    with open_stream("livelink://127.0.0.1") as stream:
        stream._socket.close()
        stream.send(*sample())
        stream.send(*sample())
    assert caplog.text.count("livelink://127.0.0.1 cannot be reached") == 1


def test_closing_twice_sends_one_farewell(receiver):
    stream = open_stream(f"livelink://127.0.0.1:{receiver.getsockname()[1]}")
    stream.close()
    stream.close()
    assert len(receiver.recv(2048)) > len(receiver.recv(2048))  # the face at rest, then no face
    receiver.settimeout(0.05)
    with pytest.raises(TimeoutError):
        receiver.recv(2048)


def test_a_stream_is_a_sink(sample, receiver):
    given = sample(jawOpen=0.5, time=1.0)
    moment = Moment(
        given.time, given.weights, given.head, given.confidence, np.zeros(0, np.float32), np.zeros((1, 1, 3), np.uint8)
    )
    with open_stream(f"ifacialmocap://127.0.0.1:{receiver.getsockname()[1]}") as stream:
        stream.write(moment)
        assert b"jawOpen&50|" in receiver.recv(2048)
