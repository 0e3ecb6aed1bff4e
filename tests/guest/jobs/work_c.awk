# SPDX-License-Identifier: MIT
# Writes C that keeps a compiler busy, and has a large table.
BEGIN {
	srand(5)
	for (i = 0; i < 12; i++)
		printf "int f%d(int *a, int n) { int s = %d; for (int i = 0; i < n; i++) " \
			"{ s += a[i] * %d; if (s & %d) a[i] ^= s; else s -= a[(i * 7) %% n]; } " \
			"return s; }\n", i, i, i * 3 + 1, i + 1
	printf "const int table[] = {"
	for (i = 0; i < 60000; i++)
		printf "%d,%s", int(rand() * 1e9), i % 16 ? "" : "\n"
	print "};"
}
