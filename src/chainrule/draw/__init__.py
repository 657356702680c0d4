"""Pictures: the dataflow graph of a formula and the boxes of a product of Jacobians, as SVG text."""

from chainrule.draw.boxes import boxes
from chainrule.draw.dataflow import dataflow
from chainrule.draw.manner import Manner
from chainrule.draw.svg import Drawing
from chainrule.draw.tables import piece_table, shape_table

__all__ = ["Drawing", "Manner", "boxes", "dataflow", "piece_table", "shape_table"]
