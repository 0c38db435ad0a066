"""The actor runtime: pykka actors as greenlets under Erlang/OTP's supervision.

Knows nothing of events, SQL or HTTP.
"""
