"""The rooms of the package and their order: tests/test_layers.py holds the code to it.

A module imports from rooms above its own, and inside its own room from lines above its own. On a
line stand the modules that know nothing of each other; a package stands for its `__init__`, and
`*` for all modules of the room that are named nowhere else.

The picture of docs/explanation/design.md is made of it.
"""

from typing import NamedTuple


class Room(NamedTuple):
    job: str
    lines: str


ROOMS = {
    "core": Room(
        "errors, checks, text, values, files; worker processes; private names of other packages",
        """
        __init__ added_fields compat compat.* context fork memory moved notices public_ids \
            startup stopwatch text timed_task tunables tunables.* version
        buffers compat.multiprocessing moved.* secrets worker
        errors spawn
        checks interrupts json parameters._reference regular_files
        deprecated optional owner parameters._known value
        atomic_files lazy parameters._forms parameters._states
        parameters._digest
        parameters
        """,
    ),
    "random": Room(
        "from the seed of a run to the streams and draws of its paths",
        """
        __init__ designs distributions draws.reference seeding
        distributions._table draws.format1 draws.phases path_streams
        distributions._densities distributions._reference draws.kernel path_states
        distributions._kernel draws draws.scattered_kernel
        bits distributions._base draws.kept draws.recursions draws.scattered \
            draws.shared
        distributions.*
        distributions._built_in
        designs._base
        designs._nested designs._saltelli
        designs._built_in
        """,
    ),
    "schemes": Room(
        "approximations of Itô equations",
        """
        __init__ _arguments boundaries
        _base
        *
        """,
    ),
    "processes": Room(
        "models: equation, parameters, exact transition or drift; what is known of them",
        """
        __init__ _describe _discrete _kernels _kernels._draws _kernels._loops _per_path \
            _quantiles networks time_grid
        _base _kernels._uniforms _kernels.diffusion _kernels.events _kernels.heston _slope_laws \
            networks._expressions networks._functions
        _between _built_in _fit _fused _gaussian _kernels.markov_chain _kernels.poisson \
            _kernels.random_walk _reversion
        _reversion_at networks._parser networks._streams
        networks._loops networks._sbml_math networks._structure
        networks._sbml
        networks._code networks._equations
        networks._bounds networks._interventions networks._next_reaction
        networks._thinning
        networks._direct
        networks._network
        networks._epidemic networks.reaction_network
        networks._model
        *
        """,
    ),
    "samplers": Room(
        "from a range of paths to path arrays: schema, one class per interface, failures",
        """
        _failing _put _spread context inputs interfaces schema stopping
        _put_events arguments returned stopping._base
        _path_loop _stops stopping._trial stopping.levels
        _base stopping.reaches
        _code encode functions policy resolution stopping._from_dict
        events
        _loop_call declare drawing drawn_range joint varied
        probe stopped
        batch counter path
        compiled legacy
        binding
        __init__
        task
        """,
    ),
    "statistics": Room(
        "mergeable accumulators and their estimates",
        """
        __init__ _binomial _bins_plain _cells _kernel_bins _labels _room _shares
        _kernel_unions _widths risk
        _kernel
        _sums
        _bridge _keys _moments
        _base _bins
        _bins_read _built_in _levels _per_path _ranks _spans _student _tails _wilson
        _groups _octaves _selection _variance
        *
        _names expected_shortfall
        """,
    ),
    "execute": Room(
        "where tasks run: backends, supervisor, window; the run monitor",
        """
        _client _cluster _lost _returned progress
        _in_force _ray_session _shared_objects
        _supervisor
        _base
        * _window run_monitor
        joblib
        __init__
        """,
    ),
    "run": Room(
        "the run as one value: recipe, Dask arrays, simulate, replay; what it costs",
        """
        __init__ _entries _grid_kernel _max_events _plan_card _policies _scenario_table _selected \
            _stored_states _task _tasks_alive _variables _varied_texts chunk_policy \
            digests._generated digests._pieces digests._source
        _events _origins digests._functions
        _events_frame _on_grid digests._classes
        digests._values
        digests
        _recipe _stopping _vary _x0
        first_path
        _attributes _first_scenario _inputs _texts _vary_argument
        _recorded _scenarios _several
        _arguments _card _provenance
        _run
        _arrays _plan _replay _states cost
        _behind _chunk_buffer _dataset choose_backend execution in_parts
        _simulate
        """,
    ),
    "reduction": Room(
        "one pass over the blocks of a run: sources, accumulation, reduce, stream",
        """
        __init__ accumulate._merge_tree accumulate._whole sources._alike sources._labels \
            sources._sized_tasks sources._tasks sources._times streaming._shown streaming._until
        accumulate._reduced_variable sources._chunk_function sources._rechunked sources._schema \
            streaming._splits
        accumulate._accumulator sources._graph_walk sources._kept_times sources._kept_variables \
            sources._path_data sources._terms
        accumulate._scenario_parts accumulate._state_checker sources._noise sources._places
        accumulate._states accumulate._task sources._paths
        accumulate
        sources._dataset_function sources._masks streaming._state
        sources._block_source streaming._snapshot
        sources._computed sources._drawn sources._memory
        sources
        passes._budget passes._collected
        passes._layout
        passes._lazily passes._passes passes._prepare
        passes streaming._run
        streaming._stream
        streaming
        """,
    ),
    "store": Room(
        "paths in Zarr: format, locations, reader, writer; virtual stores; other formats",
        """
        _arrays_by_path _codes _differences _digest _faults _interrupt_listener _report \
            _run_to_write export._file format._bounded format._commit_log format._storage \
            locations._conditions locations._directory locations._lock locations._staging
        _interrupt_handler format._layout locations._readable locations._remote_store
        format._encode format._safe locations._location
        format._manifest locations locations._remote_fence locations._remote_lock
        format._parameters locations._remote
        format._commit_state
        format
        _attributes _chunk_reader _live_parameters _recipe_size _results _values _where
        _damage _put_results _root _source _task virtual._scenarios
        _committed _estimate _open_results _regenerate _writer virtual._draw
        _rebuild _verify virtual._layout
        _repair virtual._file
        virtual._save
        virtual._store
        virtual
        _open
        _info _merge _write
        _extend export._part
        __init__ export._netcdf export._parquet
        export._export
        export
        """,
    ),
    "plot": Room(
        "pictures",
        """
        _bins _figure _single
        _closed_form _data _hue _parameters
        _facets _trace
        _convergence _density _fan _histogram _paths
        _compare
        __init__
        """,
    ),
    "monitor": Room(
        "listeners of a run: live pictures, the page on the dashboard, the report",
        """
        __init__ dashboard._board dashboard._colours dashboard._html display._interrupt \
            display._progress html_report._entry html_report._memory html_report._performance
        dashboard._metrics dashboard._page display._picture display._view html_report._page
        dashboard._plugin display._notebook display._terminal html_report._report
        dashboard._sender display html_report
        dashboard
        """,
    ),
    "engine": Room(
        "the engine, its results, batches, plans of anything, measuring",
        """
        __init__ _batch_formats _planning _random_order _result bench bench.samplers
        _engine _lazy_rows
        _random_batches bench.run
        _batches
        """,
    ),
    "accessor": Room(
        "ds.mz: forwarding only",
        """
        __init__
        """,
    ),
    "cli": Room(
        "the command: stores, runs, jobs in TOML",
        """
        _group job.config
        _main _stores job.drawn job.prices
        job.vary
        job.run
        job
        _runs
        __init__
        __main__
        """,
    ),
    "testing": Room(
        "ships: suites that discover processes, samplers, statistics and backends",
        """
        _samples backends problems processes samplers
        _accumulation strategies
        statistics
        __init__
        """,
    ),
}
