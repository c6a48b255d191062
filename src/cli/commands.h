// One function for each command, in a file of its own; it adds the command, its options and what it says of
// itself.
#pragma once

namespace holdfast {

class CommandLine;

void AddRunCommand(CommandLine& line);
void AddCheckpointCommand(CommandLine& line);
void AddResumeCommand(CommandLine& line);
void AddRollbackCommand(CommandLine& line);
void AddCloneCommand(CommandLine& line);
void AddNoteCommand(CommandLine& line);
void AddPsCommand(CommandLine& line);
void AddSnapshotsCommand(CommandLine& line);
void AddInspectCommand(CommandLine& line);
void AddLogsCommand(CommandLine& line);
void AddAttachCommand(CommandLine& line);
void AddAnnotateCommand(CommandLine& line);
void AddRmCommand(CommandLine& line);
void AddPruneCommand(CommandLine& line);
void AddCompactCommand(CommandLine& line);
void AddVerifyCommand(CommandLine& line);
void AddDoctorCommand(CommandLine& line);
void AddOciCommand(CommandLine& line);
void AddGenerateCommand(CommandLine& line);

}  // namespace holdfast
