"""What the networks of a file's tiles are coded against: base weights, or the networks of a tile beside them."""

from collections import OrderedDict
from collections.abc import Callable

from ...format.header import Header
from . import decoding, structure
from .cost import NETWORKS_BYTES
from .header import PyramidHeader
from .structure import Tensors


class Chain:
    """The references of a file's tiles. Those that were needed are cached, up to NETWORKS_BYTES.

    One thread at a time may use it.

    Args:
        header: of the file.
        stream: gives the bytes of a tile's pyramid, by its number.
    Source: docs/format.md section 9.1.
    """

    def __init__(self, header: Header[PyramidHeader], stream: Callable[[int], bytes]) -> None:
        self._header = header
        self._stream = stream
        self._columns, _ = header.model.tiles(header.size)
        self._networks: OrderedDict[int, Tensors] = OrderedDict()
        self._bytes = 0

    def base(self, number: int) -> Tensors:
        """The integers that the networks of a tile are differences from.

        Raises:
            FormatError: a stream does not fit the entropy model.
        """
        model = self._header.model
        missing = []
        reference = self._reference(number)
        while reference is not None and reference not in self._networks:
            missing.append(reference)
            reference = self._reference(reference)
        if reference is None:
            tensors: Tensors = structure.base_weights(model.preset, model.base_index, self._header.channels)
        else:
            self._networks.move_to_end(reference)
            tensors = self._networks[reference]
        for tile in reversed(missing):
            tensors = decoding.decode_tensors(self._stream(tile), model.preset, tensors)
            self._keep(tile, tensors)
        return tensors

    def _reference(self, number: int) -> int | None:
        place = self._header.model.reference(*divmod(number, self._columns))
        return None if place is None else place[0] * self._columns + place[1]

    def _keep(self, number: int, tensors: Tensors) -> None:
        self._networks[number] = tensors
        self._bytes += _held_bytes(tensors)
        while self._bytes > NETWORKS_BYTES and len(self._networks) > 1:
            self._bytes -= _held_bytes(self._networks.popitem(last=False)[1])


def _held_bytes(tensors: Tensors) -> int:
    return sum(values.nbytes for values in tensors.values())
