-- For the next statements of this transaction: told by BRIN, or not at all. (The planner takes id and time
-- for independent, and would look for a row that is not there from end to end.)
SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off
