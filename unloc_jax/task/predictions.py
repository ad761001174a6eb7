"""What a model says of videos and texts, at every point of the pyramid."""

import flax.struct
import jax


@flax.struct.dataclass
class Predictions:
  """What the heads say.

  Attributes:
    relevance: float32 logits [B, Q, P].
    displacement: float32 [B, M, P, 2] in strides: of the asked pairs, or of
      all Q; None where there is no displacement head.
  """

  relevance: jax.Array
  displacement: jax.Array | None
