#include "tests/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "server/base/reactor.h"
#include "tests/synthetic.h"

char *folder;
struct volume *volume;
struct catalogue *catalogue;

static void open_catalogue(void)
{
	char *file = xasprintf("%s/nvrd.db", folder), *why = NULL;

	catalogue = catalogue_open(file, &why);
	if (!catalogue)
		fail_msg("%s", why);
	free(file);
}

void store_open(int64_t sync_us)
{
	char *why = NULL;

	reactor_init();
	folder = synthetic_folder();
	volume = volume_open(folder, sync_us, &why);
	if (!volume)
		fail_msg("%s", why);
	open_catalogue();
}

void store_close(void)
{
	reactor_bury(); /* what has ended still holds files */
	volume_close(volume);
	catalogue_close(catalogue);
	synthetic_folder_remove(folder);
	reactor_fini();
}

void store_reopen_catalogue(void)
{
	catalogue_close(catalogue);
	open_catalogue();
}

struct recovered {
	bool done;
	struct recovery_counts counts;
};

static void on_recovered(void *arg, const struct recovery_counts *counts)
{
	*(struct recovered *)arg = (struct recovered){ true, *counts };
}

struct recovery_counts store_recover(void)
{
	struct recovered recovered = { 0 };
	struct recovery *recovery = recovery_new(volume, catalogue, on_recovered, &recovered);

	reactor_wait(&recovered.done);
	recovery_free(recovery);
	return recovered.counts;
}
