"""What actors tell and ask each other: one module per receiver, named like its folder.

``events`` holds what the persister sends to several actors, ``durable_stream`` what it and the
listener exchange. Nothing here imports the insides of an actor.
"""
