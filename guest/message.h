/* SPDX-License-Identifier: MIT */
/* A message on its way: what the queues of System V and of POSIX have in common. */
#ifndef GUEST_MESSAGE_H
#define GUEST_MESSAGE_H

#include "guest/task.h"

struct message {
	struct list_head link;
	long type; /* POSIX: its priority */
	size_t len;
	uint8_t data[];
};

/* @len bytes of the program's as a new message, to be freed: 0, -ENOMEM, -EFAULT. */
int message_load(struct task *t, uint64_t user, size_t len, struct message **out) UMM_MUST_CHECK;
void message_list_free(struct list_head *messages);

#endif
