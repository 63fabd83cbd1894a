"""Private or undocumented names of other packages, which may change without notice.

One file per package, the only one that imports or looks up these names. Each use is guarded: where
a version of the package lacks the name, a simpler fallback takes its place.
`montezarr.core.compat.table` lists the names, the tested versions, and what each fallback lacks.

Private attributes are looked up by `getattr` with their name as text, so that a test can remove
any of them. Imports are deferred until they are needed, since worker processes import this too.
"""
