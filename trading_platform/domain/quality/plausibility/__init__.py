"""Whether bars can be what they claim to be: units, times, columns and instruments that were mixed up on the way.

:mod:`.examine` puts all questions to the bars of one instrument, :mod:`.findings` is what comes of it. Rows that break
a rule are no bars (:mod:`trading_platform.domain.quality.rules`); here each bar alone may be right, and is suspect
beside the others. :mod:`.versions` compares two sources, :mod:`.rejections` explains many rejected rows by one cause.
"""
