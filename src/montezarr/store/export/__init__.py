"""Export of paths to files of other programs: netCDF for arrays, Parquet for tables."""

from montezarr.store.export._export import FORMATS, Export, export

__all__ = ["FORMATS", "Export", "export"]
