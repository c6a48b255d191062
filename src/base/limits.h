// Every limit in one place, the unit last. A value read from disk, the network or another process is compared
// with one of these before it is believed.
#pragma once

#include <cstdint>

namespace holdfast::limits {

// Store
inline constexpr uint32_t kBlockBytesMax =
    128 * 1024;  // raw bytes of one block; a lazy fault decompresses one
inline constexpr uint64_t kSegmentBytesMax = 1ull << 30;  // a segment is sealed before it passes this
inline constexpr uint64_t kManifestBytesMax = 2ull << 30;
inline constexpr uint64_t kManifestSectionBytesMax = 1ull << 30;  // one section, decompressed
inline constexpr uint32_t kSegmentsPerSnapshotMax = 65536;
inline constexpr uint32_t kLineageNameBytesMax = 100;
inline constexpr uint32_t kAnnotationsMax = 1000;
inline constexpr uint32_t kAnnotationBytesMax = 64 * 1024;

// Compaction
inline constexpr uint64_t kCompactionBatchBytesMax = 16ull << 30;  // copied before what it replaces is freed
inline constexpr uint32_t kDeadPercentMax = 5;                     // of a segment that is left as it is
inline constexpr uint64_t kSmallSegmentBytes = 32ull << 20;
inline constexpr uint32_t kSmallSegmentsMax = 16;  // of one job; more are joined

// Processes
inline constexpr uint32_t kProcessesMax = 65536;
inline constexpr uint32_t kCpusMax = 1u << 16;
inline constexpr uint32_t kMappingsPerProcessMax = 1u << 20;
inline constexpr uint32_t kFilesPerSnapshotMax = 1u << 20;
inline constexpr uint32_t kTreesPerSnapshotMax = 1000;       // directories named with --files
inline constexpr uint64_t kProcFileBytesMax = 256ull << 20;  // one /proc file

inline constexpr uint32_t kTouchesKeptMax = 1u << 16;  // pages that a job touched first after a restart

// Checkpoints
inline constexpr uint64_t kLittleMemoryBytes = 16ull << 20;  // copied about as soon as it is looked at

inline constexpr int kStopMillisecondsMax = 1000;  // for a process of the job to stand still

// Restarts
inline constexpr uint64_t kLaterMemoryBytesMin = 32ull << 20;  // less is there as soon as a page server is

// Triggers, on a command line and in a job's record
inline constexpr double kEverySecondsMax = 366.0 * 86400;
inline constexpr double kMtbfSecondsMax = 100.0 * 366 * 86400;
inline constexpr double kDeadlineSecondsMax = 86400;
inline constexpr uint64_t kEveryDirtyBytesMax = 1ull << 63;
inline constexpr uint64_t kFullEveryMax = 1'000'000;
inline constexpr double kFreezeBudgetMsMax = 3'600'000;

// The OCI runtime and the agent: what they read is small; a larger one is not believed
inline constexpr uint64_t kOciJsonBytesMax = 4ull << 20;  // config.json, and a runtime's state of a container
inline constexpr uint64_t kSettingsBytesMax = 1ull
                                              << 20;  // runtime.conf; containerd's and CRI-O's configuration
inline constexpr uint64_t kDecisionLogBytesMax = 1ull << 20;  // one more file of that size is kept
inline constexpr uint32_t kDecisionLineBytesMax = 4096;       // a shorter write to a file is one piece
inline constexpr uint32_t kContainerIdBytesMax = 255;         // it is the name of a directory
inline constexpr int kRuntimeMillisecondsMax = 1000;          // for work of our own before runc gets the verb
inline constexpr int kRuntimeWaitSecondsMax = 86'400;         // that its settings may say
inline constexpr int kCreateSecondsMax = 115;  // for all of a create, unless its wait is longer
inline constexpr int kUndoSecondsMax = 10;     // for a verb without waits; to undo one that came too late

// Waits
inline constexpr int kCriuDumpSecondsMax = 600;
inline constexpr int kReleaseSecondsMax = 60;   // for CRIU to let a tree go
inline constexpr int kPageServersMax = 10'000;  // one after the other, for one restart
inline constexpr int kCollectSecondsMax = 10;   // for a killed job to be collected by its parent

}  // namespace holdfast::limits
