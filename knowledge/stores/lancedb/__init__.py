"""Store indexes embedded, as LanceDB tables in a folder."""

import os
import sys
from importlib.util import find_spec, module_from_spec

# LanceDB needs only the models of this package. The package itself imports clients of remote catalogues, which take
# half of the time of LanceDB's import. So an empty package stands for it.
_CATALOGUES = "lance_namespace_urllib3_client"
if _CATALOGUES not in sys.modules and (_spec := find_spec(_CATALOGUES)) is not None:
    sys.modules[_CATALOGUES] = module_from_spec(_spec)

# Or the library warns that statistics of a vector index have its centroids, which nobody needs.
os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")

# By default a machine of two cores has one thread for all work, and a search waits until an index is built. An index of
# words gets as many parts as before, because a search visits each.
_CORES = os.cpu_count() or 1
os.environ.setdefault("LANCE_CPU_THREADS", str(_CORES + 2))
os.environ.setdefault("LANCE_FTS_NUM_SHARDS", str(max(1, _CORES - 2)))
