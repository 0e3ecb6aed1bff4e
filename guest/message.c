/* SPDX-License-Identifier: MIT */
/* Messages of queues: guest/message.h. */
#include <stdlib.h>

#include "guest/message.h"

int message_load(struct task *t, uint64_t user, size_t len, struct message **out)
{
	struct message *m = malloc(sizeof(*m) + len);

	if (!m)
		return -ENOMEM;
	list_init(&m->link);
	m->type = 0;
	m->len = len;
	if (copy_from_user(t, m->data, user, len)) {
		free(m);
		return -EFAULT;
	}
	*out = m;
	return 0;
}

void message_list_free(struct list_head *messages)
{
	struct message *m, *tmp;

	list_for_each_entry_safe(m, tmp, messages, link) free(m);
	list_init(messages);
}
