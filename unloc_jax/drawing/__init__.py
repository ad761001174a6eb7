"""Pictures of what evaluation found."""

from unloc_jax.drawing.gallery import Gallery as Gallery
