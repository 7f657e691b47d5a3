#include "base/mailbox.h"

#include "test.h"

#include <pthread.h>

struct note {
	struct mail mail;
	unsigned    sender, number;
};

enum { SENDERS = 3, NOTES = 20000 };

static struct mailbox box;
static struct note    notes[SENDERS][NOTES];

TEST(mail_comes_in_the_order_it_was_posted)
{
	struct mailbox own = {NULL};
	struct note    first = {.number = 1}, second = {.number = 2};
	struct mail   *mail;

	EXPECT(mailbox_take(&own) == NULL);
	EXPECT(mailbox_post(&own, &first.mail));
	EXPECT(!mailbox_post(&own, &second.mail));
	mail = mailbox_take(&own);
	EXPECT(mail == &first.mail && mail->next == &second.mail && mail->next->next == NULL);
	EXPECT(mailbox_take(&own) == NULL);
	EXPECT(mailbox_post(&own, &first.mail));
}

static void *send_all(void *argument)
{
	struct note *mine = argument;

	for (unsigned i = 0; i < NOTES; i++)
		(void)!mailbox_post(&box, &mine[i].mail);
	return NULL;
}

TEST(nothing_is_lost_between_threads_and_every_sender_keeps_its_order)
{
	pthread_t threads[SENDERS];
	unsigned  next[SENDERS] = {0}, got = 0;

	for (unsigned i = 0; i < SENDERS; i++) {
		for (unsigned j = 0; j < NOTES; j++)
			notes[i][j] = (struct note){.sender = i, .number = j};
		CHECK(pthread_create(&threads[i], NULL, send_all, notes[i]) == 0);
	}
	while (got < SENDERS * NOTES) {
		for (struct mail *mail = mailbox_take(&box); mail; mail = mail->next, got++) {
			const struct note *note = container_of(mail, struct note, mail);

			EXPECT_EQ(note->number, next[note->sender]);
			next[note->sender]++;
		}
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	EXPECT(mailbox_take(&box) == NULL);
}

int main(void)
{
	return test_main();
}
