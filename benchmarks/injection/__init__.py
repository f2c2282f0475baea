"""Four small models, and changes of their numerics that releases make, injected into layer code;
and wheels that bring changes."""
