"""The demonstration: a rendered sequence of a face that a package ships, through the whole gate."""
