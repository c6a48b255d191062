// A backend on whose n-th call something happens: it fails, before or after it has done what it was asked to
// do; or the process ends there, as by kill -9.
#pragma once

#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "store/backend.h"

namespace holdfast {

enum class Failure { kErrorBefore, kErrorAfter, kDeathBefore, kDeathAfter };
inline constexpr int kDeathStatus = 99;

class FailingSteps {
 public:
  FailingSteps(int step, Failure failure) : step_(step), failure_(failure) {}

  // Does `call`, or what else is to happen at this step.
  template <typename Call>
  auto Do(const Call& call) -> decltype(call()) {
    if (++done_ != step_) return call();
    if (failure_ == Failure::kDeathBefore) ::_exit(kDeathStatus);
    if (failure_ == Failure::kErrorBefore) return Fail(ErrorKind::kIo, "a failure made by the test");
    auto result = call();
    if (failure_ == Failure::kDeathAfter) ::_exit(kDeathStatus);
    return Fail(ErrorKind::kIo, "a failure made by the test");
  }
  bool reached() const { return done_ >= step_; }

 private:
  std::atomic<int> done_ = 0;
  const int step_;
  const Failure failure_;
};

class FailingUpload final : public Upload {
 public:
  FailingUpload(std::unique_ptr<Upload> upload, FailingSteps& steps)
      : upload_(std::move(upload)), steps_(steps) {}
  Result<void> WriteAt(uint64_t offset, std::span<const std::byte> data) override {
    return steps_.Do([&] { return upload_->WriteAt(offset, data); });
  }
  Result<void> Seal() override {
    return steps_.Do([&] { return upload_->Seal(); });
  }
  Result<void> Publish() override {
    return steps_.Do([&] { return upload_->Publish(); });
  }

 private:
  std::unique_ptr<Upload> upload_;
  FailingSteps& steps_;
};

class FailingObject final : public Object {
 public:
  FailingObject(std::unique_ptr<Object> object, FailingSteps& steps)
      : object_(std::move(object)), steps_(steps) {}
  uint64_t bytes() const override { return object_->bytes(); }
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override {
    return steps_.Do([&] { return object_->ReadAt(offset, out); });
  }

 private:
  std::unique_ptr<Object> object_;
  FailingSteps& steps_;
};

class FailingBackend final : public Backend {
 public:
  FailingBackend(std::unique_ptr<Backend> backend, FailingSteps& steps)
      : backend_(std::move(backend)), steps_(steps) {}

  Result<std::unique_ptr<Upload>> StartUpload(const std::string& key) override {
    std::unique_ptr<Upload> upload = TRY(steps_.Do([&] { return backend_->StartUpload(key); }));
    return std::make_unique<FailingUpload>(std::move(upload), steps_);
  }
  Result<std::unique_ptr<Object>> Open(const std::string& key) const override {
    std::unique_ptr<Object> object = TRY(steps_.Do([&] { return backend_->Open(key); }));
    return std::make_unique<FailingObject>(std::move(object), steps_);
  }
  Result<void> Create(const std::string& key, std::span<const std::byte> content) override {
    return steps_.Do([&] { return backend_->Create(key, content); });
  }
  Result<void> Replace(const std::string& key, std::span<const std::byte> content) override {
    return steps_.Do([&] { return backend_->Replace(key, content); });
  }
  Result<void> Delete(const std::string& key) override {
    return steps_.Do([&] { return backend_->Delete(key); });
  }
  Result<std::vector<ObjectInfo>> List(const std::string& folder) const override {
    return steps_.Do([&] { return backend_->List(folder); });
  }
  Result<std::vector<std::string>> ListFolders(const std::string& folder) const override {
    return steps_.Do([&] { return backend_->ListFolders(folder); });
  }
  Result<std::vector<ObjectInfo>> CollectAbandoned(const std::string& folder, bool dry_run) override {
    return steps_.Do([&] { return backend_->CollectAbandoned(folder, dry_run); });
  }
  Result<uint64_t> BytesAvailable() const override {
    return steps_.Do([&] { return backend_->BytesAvailable(); });
  }

 private:
  std::unique_ptr<Backend> backend_;
  FailingSteps& steps_;
};

}  // namespace holdfast
