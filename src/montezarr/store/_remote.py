"""Object stores: what a Zarr store is written through."""
