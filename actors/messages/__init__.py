"""What actors tell and ask each other; imports no actor's insides."""
