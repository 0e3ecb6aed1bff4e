/* SPDX-License-Identifier: MIT */
/*
 * Host program: kvcheck PORT SECONDS. A client of redis-server on this machine that knows
 * every byte: it stores values, asks for them again and compares, in random order, and has
 * the server fork and save every few seconds. Waits for the server to come up first,
 * shuts it down at the end. Prints `kvcheck: N right, S saves` and exits with 0, or says what was wrong.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEYS        400
#define VALUE_MAX   3000
#define LEAST       100 /* stores and questions, however long they take */
#define SAVE_EVERY  5   /* seconds */
#define CONNECT_MAX 300 /* seconds */

static uint32_t stored[KEYS]; /* generation of each key's value; 0: none yet */

static void fail(const char *what, unsigned int key)
{
	printf("kvcheck: key %u: %s\n", key, what);
	exit(1);
}

/* The value of a key in a generation: its length and bytes follow from both. */
static size_t value_make(unsigned int key, uint32_t generation, char *value)
{
	uint64_t x = (uint64_t)key << 32 | generation;
	size_t len, i;

	x = x * 6364136223846793005ull + 1442695040888963407ull;
	len = 1 + (x >> 33) % VALUE_MAX;
	for (i = 0; i < len; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		value[i] = (char)(x >> 56);
	}
	return len;
}

static FILE *server_open(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	time_t until = time(NULL) + CONNECT_MAX;
	int fd, one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	do {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!connect(fd, (struct sockaddr *)&address, sizeof(address))) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			return fdopen(fd, "r+");
		}
		close(fd);
		usleep(200000);
	} while (time(NULL) < until);
	return NULL;
}

static void answer_line(FILE *s, unsigned int key, char line[128])
{
	fseek(s, 0, SEEK_CUR);
	if (!fgets(line, 128, s))
		fail("the server is gone", key);
}

static void key_store(FILE *s, unsigned int key)
{
	char value[VALUE_MAX], line[128];
	size_t len = value_make(key, ++stored[key], value);

	fprintf(s, "*3\r\n$3\r\nSET\r\n$5\r\nk%04u\r\n$%zu\r\n", key, len);
	fwrite(value, 1, len, s);
	fputs("\r\n", s);
	fflush(s);
	answer_line(s, key, line);
	if (strcmp(line, "+OK\r\n"))
		fail(line, key);
}

static void key_check(FILE *s, unsigned int key)
{
	char value[VALUE_MAX], got[VALUE_MAX + 2], line[128];
	size_t len = value_make(key, stored[key], value);

	fprintf(s, "*2\r\n$3\r\nGET\r\n$5\r\nk%04u\r\n", key);
	fflush(s);
	answer_line(s, key, line);
	if (line[0] != '$' || strtoul(line + 1, NULL, 10) != len)
		fail("a value of another length", key);
	if (fread(got, 1, len + 2, s) != len + 2 || memcmp(got, value, len))
		fail("another value", key);
}

/* Refused while the last child still saves. */
static unsigned int save(FILE *s)
{
	char line[128];

	fputs("*1\r\n$6\r\nBGSAVE\r\n", s);
	fflush(s);
	answer_line(s, 0, line);
	return line[0] == '+';
}

int main(int argc, char **argv)
{
	FILE *s = argc == 3 ? server_open(atoi(argv[1])) : NULL;
	time_t now = time(NULL), until = argc == 3 ? now + atoi(argv[2]) : 0, next_save = now;
	unsigned int key, saves = 0;
	uint64_t right = 0;

	if (!s) {
		printf("kvcheck: no server\n");
		return 2;
	}
	for (; (now = time(NULL)) < until || right < LEAST; right++) {
		key = (unsigned int)rand() % KEYS;
		if (stored[key] && rand() % 3)
			key_check(s, key);
		else
			key_store(s, key);
		if (now >= next_save) {
			saves += save(s);
			next_save = now + SAVE_EVERY;
		}
	}
	for (key = 0; key < KEYS; key++)
		if (stored[key])
			key_check(s, key);
	fputs("*2\r\n$8\r\nSHUTDOWN\r\n$6\r\nNOSAVE\r\n", s);
	fflush(s);
	printf("kvcheck: %" PRIu64 " right, %u saves\n", right, saves);
	return 0;
}
