"""Drawing: many images into a folder, one archive of them, one picture of a few."""

from fpdm.drawing.archive import archive
from fpdm.drawing.gallery import Row, gallery, rows_by_class
from fpdm.drawing.many import Drawn, deal, draw

__all__ = ["Drawn", "Row", "archive", "deal", "draw", "gallery", "rows_by_class"]
