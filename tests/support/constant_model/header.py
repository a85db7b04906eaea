"""Its header: no fields at all."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pillow_inr.cost import Cost
from pillow_inr.format.fields import FieldReader
from pillow_inr.format.header import Box, Header, Size


@dataclass(frozen=True)
class ConstantHeader:
    number: ClassVar[int] = 2
    name: ClassVar[str] = "constant"
    label: ClassVar[str] = "constant"
    coding: ClassVar[int] = 0
    needs_whole_file: ClassVar[bool] = True

    def pack(self) -> bytes:
        return b""

    def check_size(self, size: Size) -> None:
        pass

    def info(self, channels: int) -> dict[str, Any]:
        return {"model": self.name}

    def cost(self, header: Header[Any], size: Size, box: Box) -> Cost:
        return Cost(size[0] * size[1], size[0] * size[1] * header.channels * 4)

    def opening_cost(self, header: Header[Any], size: Size) -> Cost:
        return self.cost(header, size, (0, 0, *header.size))


def read(reader: FieldReader) -> ConstantHeader:
    return ConstantHeader()
