# SPDX-License-Identifier: MIT
# Strings of 4 KiB, MIB of them in all (-v mib=MIB): made, each ninth made anew, each fifth
# dropped, and what is left looked through.
BEGIN {
	for (i = 0; i < mib * 256; i++)
		s[i] = sprintf("%04063d", i * 7919)
	for (i = 0; i < mib * 256; i += 9)
		s[i] = substr(s[i], 2000) sprintf("%02000d", i)
	for (i = 0; i < mib * 256; i += 5)
		delete s[i]
	for (i = 0; i < mib * 256; i++)
		if (i in s) {
			count++
			bytes += length(s[i])
			sum += substr(s[i], length(s[i]) - 8)
		}
	print count, bytes, sum
}
