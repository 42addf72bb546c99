"""The screens, a module each, with `make(parts)` (see parts.Screen). The list of them is in web/index.html."""
