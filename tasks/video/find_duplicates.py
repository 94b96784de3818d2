"""placeholder until merge"""

import pyarrow as pa

DUPLICATES = pa.schema(
    [pa.field(n, pa.string(), nullable=False) for n in ("take_id", "source_id", "cluster_id")]
    + [pa.field("rank", pa.int32(), nullable=False), pa.field("nearest_take_id", pa.string(), nullable=False)]
    + [pa.field(n, pa.float64(), nullable=False) for n in ("distance", "offset_s", "overlap_s")]
    + [pa.field("mirrored", pa.bool_(), nullable=False)]
)
