"""Names of other packages that are not theirs to keep: private ones, or not in their docs.

One file per package, which alone imports or looks up such names of it. Each of them is guarded:
where a version of the package lacks it, something simpler takes its place, and the rest goes on.
`montezarr.core.compat.table` lists the names, the versions that were tried, and what falls away.

Private attributes are looked up here by `getattr` with their name as text, so that a test can take
any of them away. Nothing is imported here before it is needed: worker processes come through here.
"""
