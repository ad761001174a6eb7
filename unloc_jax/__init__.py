"""UnLoc in JAX: finding moments in untrimmed videos from language."""
