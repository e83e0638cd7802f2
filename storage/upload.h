#pragma once

#include "server/base/attributes.h"
#include "server/base/config.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * Uploads become recordings: what is dropped into <storage.path>/uploads/<camera>/, by whomever and in folders
 * of its own too, is put into the form of a recording and takes its place among the camera's; then the
 * upload is removed. What is no recording, or holds what a recording cannot, stays as the file that it is.
 * A file is taken once nobody writes it any more. One at a time, on a thread of its own, which lets
 * live recording go first. docs/STORAGE.md says how, and why no moment of it loses anything.
 */
struct uploads;

/* Both outlive it, see uploads_free(). Nothing happens before uploads_start(). */
struct uploads *uploads_new(struct volume *volume, struct catalogue *catalogue) MUST_CHECK;
/* Takes what is there for the cameras of this configuration (copied), whose folders are made. */
void uploads_apply(struct uploads *uploads, const struct config *config);
/* Begins: once recovery has made the catalogue agree with the disk. Calls after the first do nothing. */
void uploads_start(struct uploads *uploads);
/* Stops where it is, before the volume and the catalogue are closed. NULL is fine. */
void uploads_free(struct uploads *uploads);
