"""An OpenIGTLink server with known images: openigtlink_server.py PORT.

Image n has the value n + column + 2 * row at each position, a spacing of 0.3 mm down the rows and
0.2 mm along a row, and a timestamp n seconds after 1700000000.25. Formats alternate: grey bytes,
colours in a message of version 2 with metadata, and 16-bit words. Other messages are in between.
"""

import sys

import numpy
import pyigtl

HEIGHT, WIDTH = 24, 32

server = pyigtl.OpenIGTLinkServer(port=int(sys.argv[1]), local_server=True)
row, column = numpy.mgrid[:HEIGHT, :WIDTH]
# The image is rotated by 90 degrees: rows run along y.
matrix = numpy.array([[0, 0.3, 0, 5], [0.2, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]])
print("listening", flush=True)
n = 0
while True:
    place = n % 50 + column + 2 * row
    words = place.astype(numpy.uint16)[numpy.newaxis]
    grey = place.astype(numpy.uint8)[numpy.newaxis]
    kind = n % 3
    image = [grey, numpy.stack([grey, grey + 1, grey + 2], axis=3), words][kind]
    message = pyigtl.ImageMessage(
        image, matrix, timestamp=1700000000.25 + n, device_name="Probe"
    )
    if kind == 1:
        message.header_version = 2
        message.metadata = {"Depth": "50 mm"}
    server.send_message(pyigtl.StringMessage("no image", device_name="Text"), wait=False)
    server.send_message(
        pyigtl.ImageMessage(255 - grey, matrix, device_name="Other"), wait=False
    )
    # Returns once a client has received it.
    server.send_message(message, wait=True)
    n += 1
