"""Sums of updates of which nobody sees one: double masking after Bonawitz et al. 2017, malicious-aggregator profile.

The protocol is written down in docs/spec/secure-aggregation.md. A member calls, in this order, `Session.open`,
`member.deal`, `member.open_boxes`, `member.masks`, `agreement.propose`, `agreement.agree` and `member.answer`; who
aggregates calls `recovery.recover`, `recovery.remaining_masks` and `recovery.unmasked_blocks`.
"""
