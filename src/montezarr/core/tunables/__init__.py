"""Numbers that are choices: what one would change for another machine or another workload.

Each is in the module of its subject, with its unit in the name and its reason below: `memory`,
`scheduling`, `waiting`, `keeping`, `limits` and `stores`.
None of them changes a path or a statistic.

What stays beside its code is no such choice:

* formats: numbers of versions, headers, prefixes of keys, names, exit statuses;
* mathematics: coefficients, quantiles, the bits and the rounding of a float;
* facts of others: the largest upload of an object store, NumPy's number of dimensions;
* what bytes of stores and results depend on: the block, bins and tails of statistics, when a
  stream stops, the default error of a quantile;
* from when on statistics are trusted, which has its source there;
* where one of two ways to compute the same becomes faster, and the tiles of compiled loops: both
  ways stand there, and Numba's cache on the disk looks at that file alone;
* looks: sizes and colours of pictures, how much of something a text shows;
* the sizes of `montezarr bench` and of the suites in `montezarr.testing`, whose numbers they are.
"""
